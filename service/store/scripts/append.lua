-- Appends one batch, once.
-- KEYS: log, schema, appended, classes, admitted; with an idempotency key also its own and the list of those of the
--       same client
-- ARGV: events (MessagePack), count, schema the batch was checked against, schema after it ('' = the same),
--       digest of the body, seconds to remember the key for, how many keys of one client are remembered, the beginning
--       of all such keys, most classes, format of the entry, what it may add to the graph (nodes, edges, nodes with
--       features, their width; '' for nothing), labels that may be new ...
-- Answers: {'replayed', position} | {'reused', position} | {'stale', schema} | {'classes', label}
--          | {'appended', position}
if KEYS[6] then
  local known = redis.call('GET', KEYS[6])
  if known then
    local position, digest = string.match(known, '^(%S+) (%S+)$')
    return {digest == ARGV[5] and 'replayed' or 'reused', position}
  end
end
local schema = redis.call('GET', KEYS[2]) or ''
if schema ~= ARGV[3] then
  return {'stale', schema}
end
local refused = add_classes(ARGV[9], 12)
if refused then
  return {'classes', refused}
end
local sums
if ARGV[11] ~= '' then
  local last = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)[1]
  local numbers = string.gmatch(last and last[2][2] or '', '%d+')
  local added = {}
  for own in string.gmatch(ARGV[11], '%d+') do
    local before = tonumber(numbers() or 0)
    added[#added + 1] = string.format('%.0f', #added < 3 and before + own or math.max(before, own))
  end
  sums = table.concat(added, ' ')
end
-- Positions never decrease. Redis's clock can, so the entry carries the time of its arrival.
local now = redis.call('TIME')
local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local position = redis.call('XADD', KEYS[1], '*', 'events', ARGV[1], 'n', ARGV[2], 'at', at, 'v', ARGV[10])
redis.call('INCRBY', KEYS[3], ARGV[2])
if sums then
  local sizes = {'sums', sums, 'own', ARGV[11]}
  if type(redis.pcall('XADD', KEYS[5], position, unpack(sizes))) ~= 'string' then
    -- It knows of later positions: of a log that is lost.
    redis.call('DEL', KEYS[5])
    redis.call('XADD', KEYS[5], position, 'sums', ARGV[11], 'own', ARGV[11])
  end
end
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[2], ARGV[4])
end
if KEYS[6] then
  redis.call('SET', KEYS[6], position .. ' ' .. ARGV[5], 'EX', ARGV[6])
  local surplus = redis.call('RPUSH', KEYS[7], string.sub(KEYS[6], #ARGV[8] + 1) .. ' ' .. position) - ARGV[7]
  redis.call('EXPIRE', KEYS[7], ARGV[6])
  for _ = 1, math.min(surplus, 10) do
    local name, at = string.match(redis.call('LPOP', KEYS[7]), '^(%S+) (%S+)$')
    -- A key that has run out and was used again is a later one's.
    if string.match(redis.call('GET', ARGV[8] .. name) or '', '^(%S+)') == at then
      redis.call('DEL', ARGV[8] .. name)
    end
  end
end
return {'appended', position}
