-- Makes the log go on behind a position that it does not hold, with whatever entries it has after it.
-- KEYS: log, trimmed, appended, schema, log id
-- ARGV: position, the position right after it, events applied up to there, the graph's schema
-- Answers: events in the log after the position.
-- The entry comes and goes so that Redis gives out no position up to this one again; it fails where there is a later one.
if type(redis.pcall('XADD', KEYS[1], ARGV[1], 'adopted', '')) == 'string' then
  redis.call('XDEL', KEYS[1], ARGV[1])
end
redis.call('XTRIM', KEYS[1], 'MINID', ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
local events, after = 0, ARGV[1]
while true do
  local part = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', 1)
  for _, entry in ipairs(part) do
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'n' then
        events = events + (tonumber(entry[2][i + 1]) or 0)
      end
    end
    after = entry[1]
  end
  if #part < 1 then
    break
  end
end
redis.call('SET', KEYS[3], string.format('%.0f', ARGV[3] + events))
if redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('SET', KEYS[4], ARGV[4])
end
-- What has been lost is not in it any more: it is another log to those who know what they have sent.
redis.call('DEL', KEYS[5])
return events
