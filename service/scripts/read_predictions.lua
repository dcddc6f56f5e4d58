-- Reads what is served, how far the log is, and nodes' rows, all of one moment.
-- KEYS: served, appended. ARGV: beginning of the prediction tables' keys, node ids.
-- Answers: {served fields, appended, rows}; the table's key is made here because only the hash knows its name.
local served = redis.call('HMGET', KEYS[1], 'position', 'applied', 'version', 'student', 'classes', 'format', 'table')
local rows = {}
if served[7] then
  -- Lua's stack bounds how many arguments one call takes.
  for first = 2, #ARGV, 4000 do
    local last = math.min(first + 3999, #ARGV)
    for i, row in ipairs(redis.call('HMGET', ARGV[1] .. served[7], unpack(ARGV, first, last))) do
      rows[first + i - 2] = row
    end
  end
end
return {served, redis.call('GET', KEYS[2]), rows}
