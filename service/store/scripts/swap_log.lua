-- Puts a rebuilt log in the place of the log, with the entries that the log has after it.
-- KEYS: log, rebuilt log, trimmed, appended, schema, classes, skipped, left out, log id, admitted, starts, served,
--       rejected, champion
-- ARGV: last position that was copied, events in the rebuilt log, schema, '1' where readers have seen a later position
--       than it holds, number of ranges that are left out, number of skipped entries, these ranges ..., position and
--       reason of each skipped entry ..., classes ...
-- Answers: 1; 0 where the log has got further entries since it was copied: copy them, and call it again.
local newest = last_position()
if newest ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[3], KEYS[10])
redis.call('RENAME', KEYS[2], KEYS[1])
-- Positions that were given out are not given out again. It fails where the rebuilt log ends later.
redis.pcall('XSETID', KEYS[1], newest)
redis.call('SET', KEYS[4], ARGV[2])
redis.call('SET', KEYS[5], ARGV[3])
if ARGV[4] == '1' then
  redis.call('DEL', KEYS[12], KEYS[13], KEYS[14])
end
local ranges, skipped = tonumber(ARGV[5]), tonumber(ARGV[6])
local at = 7
for i = at, at + ranges - 1 do
  redis.call('SADD', KEYS[8], ARGV[i])
end
at = at + ranges
for i = at, at + 2 * skipped - 1, 2 do
  redis.call('HSET', KEYS[7], ARGV[i], ARGV[i + 1])
end
at = at + 2 * skipped
for i = at, #ARGV do
  redis.call('SADD', KEYS[6], ARGV[i])
end
if newest == '0-0' or ranges > 0 then
  redis.call('DEL', KEYS[9])
end
-- A worker that is still there is fenced off.
redis.call('INCR', KEYS[11])
return 1
