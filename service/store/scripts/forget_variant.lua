-- Takes a variant out of those that need the log, where no worker has it and it is not the champion.
-- KEYS: needed, champion, its lease, its heartbeat, its worker's channel
-- ARGV: the variant, '1' where it is only asked whether it may go
-- Answers: 'unknown' | 'champion' | 'lives' | 'gone'
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then
  return 'unknown'
end
if (redis.call('GET', KEYS[2]) or 'default') == ARGV[1] then
  return 'champion'
end
local beats = redis.call('EXISTS', KEYS[4]) == 1 and redis.call('PUBSUB', 'NUMSUB', KEYS[5])[2] > 0
if beats or redis.call('EXISTS', KEYS[3]) == 1 then
  return 'lives'
end
if ARGV[2] ~= '1' then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 'gone'
