-- Reads what is served, how far the log is, and nodes' rows, all of one moment.
-- KEYS: served, appended. ARGV: beginning of the prediction tables' keys, bytes of rows at most (0: any), node ids.
-- Answers: {served fields, appended, rows, 0}, or without rows {.., .., {}, bytes of one row} where they have more bytes.
-- The table's key is made here because only the hash knows its name.
local served = redis.call('HMGET', KEYS[1], 'position', 'applied', 'version', 'student', 'classes', 'format', 'table')
local appended = redis.call('GET', KEYS[2])
local rows = {}
if served[7] then
  local most, bytes, width = tonumber(ARGV[2]), 0, 0
  local first = 3
  while first <= #ARGV do
    -- Lua's stack bounds how many arguments one call takes; wide rows are read few at a time until the limit is known
    -- to be kept.
    local size = width == 0 and 100 or math.max(1, math.min(4000, math.floor(1048576 / width)))
    local last = math.min(first + size - 1, #ARGV)
    for i, row in ipairs(redis.call('HMGET', ARGV[1] .. served[7], unpack(ARGV, first, last))) do
      rows[first + i - 3] = row
      if row then
        width = #row
        bytes = bytes + width
      end
    end
    if most > 0 and bytes > most then
      return {served, appended, {}, width}
    end
    first = last + 1
  end
end
return {served, appended, rows, 0}
