-- What the log holds around a position.
-- KEYS: log, trimmed. ARGV: position.
-- Answers: {position up to which the log is trimmed, last position ever appended, entries at the position (0 or 1)}
local last = '0-0'
if redis.call('EXISTS', KEYS[1]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last = info[i + 1]
    end
  end
end
return {redis.call('GET', KEYS[2]) or '0-0', last, #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])}
