-- Keeps rows and marks as they are, before a publication overwrites them.
-- KEYS: prediction table, its marks, past rows, past marks
-- ARGV: milliseconds and sequence of the publication's position, number of nodes, nodes ..., numbers of blocks of marks ...
-- A field of the past holds one record after the other: position, length, and what was there before. A node that was not
-- there has the length 0.
local function keep(key, field, before)
  local record = struct.pack('<I8I8I4', ARGV[1], ARGV[2], #before) .. before
  redis.call('HSET', key, field, (redis.call('HGET', key, field) or '') .. record)
end

local nodes = tonumber(ARGV[3])
for i = 4, 3 + nodes do
  keep(KEYS[3], ARGV[i], redis.call('HGET', KEYS[1], ARGV[i]) or '')
end
for i = 4 + nodes, #ARGV do
  local first = tonumber(ARGV[i]) * 512
  keep(KEYS[4], ARGV[i], redis.call('GETRANGE', KEYS[2], first, first + 511))
end
return 1
