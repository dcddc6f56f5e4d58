-- Makes a variant the champion, where it shows no earlier position than the champion does.
-- KEYS: champion, promotions, log, served of the variant, its heartbeat, its worker's channel, served of the champion
-- ARGV: the variant, the champion that KEYS[7] is of, time in seconds, entry of the log (JSON), format of the entry,
--       promotions that are kept
-- Answers: {'moved', champion} where it is another one | {'champion', position} where the variant is it already
--          | {'away'} | {'no-model'} | {'behind', position, position of the champion}
--          | {'promoted', position, position of the entry}
local function pair(text)
  local ms, sequence = string.match(text, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

local champion = redis.call('GET', KEYS[1]) or 'default'
if champion ~= ARGV[2] then
  return {'moved', champion}
end
local served = redis.call('HMGET', KEYS[4], 'position', 'version')
local position = served[1] or '0-0'
if ARGV[1] == champion then
  return {'champion', position}
end
if redis.call('EXISTS', KEYS[5]) == 0 or redis.call('PUBSUB', 'NUMSUB', KEYS[6])[2] == 0 then
  return {'away'}
end
if not served[2] then
  return {'no-model'}
end
local before = redis.call('HGET', KEYS[7], 'position') or '0-0'
local ms, sequence = pair(position)
local its_ms, its_sequence = pair(before)
if ms < its_ms or (ms == its_ms and sequence < its_sequence) then
  return {'behind', position, before}
end
local now = redis.call('TIME')
local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
local entry = redis.call('XADD', KEYS[3], '*', 'version', ARGV[4], 'at', at, 'v', ARGV[5])
redis.call('SET', KEYS[1], ARGV[1])
redis.call('RPUSH', KEYS[2], table.concat({ARGV[1], champion, position, entry, ARGV[3]}, ' '))
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[6]), -1)
return {'promoted', position, entry}
