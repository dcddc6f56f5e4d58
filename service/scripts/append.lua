-- Appends one batch, once.
-- KEYS: log, schema, appended, classes, idempotency (left out without a key)
-- ARGV: events (MessagePack), count, schema the batch was checked against, schema after it ('' = the same),
--       digest of the body, seconds to remember the key for, most classes, labels that may be new ...
-- Answers: {'replayed', position} | {'reused', position} | {'stale', schema} | {'classes', label}
--          | {'appended', position}
if KEYS[5] then
  local known = redis.call('GET', KEYS[5])
  if known then
    local position, digest = string.match(known, '^(%S+) (%S+)$')
    return {digest == ARGV[5] and 'replayed' or 'reused', position}
  end
end
local schema = redis.call('GET', KEYS[2]) or ''
if schema ~= ARGV[3] then
  return {'stale', schema}
end
local new, room = {}, tonumber(ARGV[7]) - (#ARGV > 7 and redis.call('SCARD', KEYS[4]) or 0)
for i = 8, #ARGV do
  if redis.call('SISMEMBER', KEYS[4], ARGV[i]) == 0 then
    if #new >= room then
      return {'classes', ARGV[i]}
    end
    new[#new + 1] = ARGV[i]
  end
end
for _, label in ipairs(new) do
  redis.call('SADD', KEYS[4], label)
end
-- Positions never go back; where Redis's clock does, the entry says when it came.
local now = redis.call('TIME')
local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local position = redis.call('XADD', KEYS[1], '*', 'events', ARGV[1], 'n', ARGV[2], 'at', at)
redis.call('INCRBY', KEYS[3], ARGV[2])
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[2], ARGV[4])
end
if KEYS[5] then
  redis.call('SET', KEYS[5], position .. ' ' .. ARGV[5], 'EX', ARGV[6])
end
return {'appended', position}
