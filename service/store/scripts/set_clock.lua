-- Tells the worker through the log what to set the graph's clock to.
-- KEYS: log
-- ARGV: the setting, format of the entry
-- Answers: its position.
local now = redis.call('TIME')
local at = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000))
return redis.call('XADD', KEYS[1], '*', 'clock', ARGV[1], 'at', at, 'v', ARGV[2])
