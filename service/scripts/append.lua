-- Appends one batch, once.
-- KEYS: log, schema, appended, idempotency (left out without a key)
-- ARGV: events (MessagePack), count, schema the batch was checked against, schema after it ('' = the same),
--       digest of the body, seconds to remember the key for
-- Answers: {'replayed', position} | {'reused', position} | {'stale', schema} | {'appended', position}
if KEYS[4] then
  local known = redis.call('GET', KEYS[4])
  if known then
    local position, digest = string.match(known, '^(%S+) (%S+)$')
    return {digest == ARGV[5] and 'replayed' or 'reused', position}
  end
end
local schema = redis.call('GET', KEYS[2]) or ''
if schema ~= ARGV[3] then
  return {'stale', schema}
end
-- Positions never go back; where Redis's clock does, the entry says when it came.
local now = redis.call('TIME')
local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local position = redis.call('XADD', KEYS[1], '*', 'events', ARGV[1], 'n', ARGV[2], 'at', at)
redis.call('INCRBY', KEYS[3], ARGV[2])
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[2], ARGV[4])
end
if KEYS[4] then
  redis.call('SET', KEYS[4], position .. ' ' .. ARGV[5], 'EX', ARGV[6])
end
return {'appended', position}
