-- Trims the log as far as no variant needs it.
-- KEYS: log, trimmed, needed, champion
-- ARGV: this variant, position up to which it does not need the log, position right after that, time in seconds,
--       seconds for which a variant without a heartbeat holds the log, default variant, which holds it always, as the
--       champion does,
--       beginning and end of the key of another one's last heartbeat
-- Answers: number of removed entries.
local function pair(text)
  local ms, sequence = string.match(text, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(sequence)
end

local function is_before(one, other)
  local ms, sequence = pair(one)
  local its_ms, its_sequence = pair(other)
  return ms < its_ms or (ms == its_ms and sequence < its_sequence)
end

redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
local upto, after = ARGV[2], ARGV[3]
local needed = redis.call('HGETALL', KEYS[3])
local champion = redis.call('GET', KEYS[4])
for i = 1, #needed, 2 do
  local name = needed[i]
  local holds = name == ARGV[1] or name == ARGV[6] or name == champion
  if not holds then
    local beat = tonumber(redis.call('GET', ARGV[7] .. name .. ARGV[8]) or '')
    holds = beat and beat + tonumber(ARGV[5]) > tonumber(ARGV[4])
  end
  if holds and is_before(needed[i + 1], upto) then
    upto = needed[i + 1]
    -- The entry at that position is kept: one more or less is no matter.
    after = upto
  end
end
local known = redis.call('GET', KEYS[2])
if after ~= '0-0' and (not known or is_before(known, upto)) then
  redis.call('SET', KEYS[2], upto)
end
return redis.call('XTRIM', KEYS[1], 'MINID', after)
