-- Reads what is served, how far the log is, nodes' rows, and which of these are marked, all of one moment.
-- KEYS: served, appended, heartbeat, the worker's channel, champion.
-- ARGV: beginnings of the keys of prediction tables and of their marks, bytes of rows at most (0: any), the variant
--       where it must be the champion ('': it need not), node ids.
-- Answers: {served fields, appended, rows, 0, marked, heartbeat}, or {.., .., {}, bytes of one row, {}, 0} where the
-- rows have more bytes; {champion} where that is another variant.
-- "marked" lists the places of the marked rows, from 0; of many nodes it is the whole bitmap, which costs Redis less.
-- "heartbeat" is 1 where the worker is there: its heartbeat, and its subscription. It counts only where a row may be
-- marked.
-- The tables' keys are made here because only the hash knows the name.
local function is_there()
  if redis.call('EXISTS', KEYS[3]) == 1 and redis.call('PUBSUB', 'NUMSUB', KEYS[4])[2] > 0 then
    return 1
  end
  return 0
end

if ARGV[4] ~= '' then
  local champion = redis.call('GET', KEYS[5]) or 'default'
  if champion ~= ARGV[4] then
    return {champion}
  end
end
local served = redis.call(
  'HMGET', KEYS[1], 'position', 'applied', 'answered', 'version', 'student', 'classes', 'format', 'table', 'rule'
)
local appended = redis.call('GET', KEYS[2])
local first_node = 5
local count = #ARGV - first_node + 1
local rows, marked, heartbeat = {}, {}, 0
if served[8] and count > 0 then
  local most, bytes, width = tonumber(ARGV[3]), 0, 0
  local first = first_node
  while first <= #ARGV do
    -- Lua's stack bounds how many arguments one call takes; wide rows are read few at a time until the limit is known
    -- to be kept.
    local size = width == 0 and 100 or math.max(1, math.min(4000, math.floor(1048576 / width)))
    local last = math.min(first + size - 1, #ARGV)
    for i, row in ipairs(redis.call('HMGET', ARGV[1] .. served[8], unpack(ARGV, first, last))) do
      rows[first + i - first_node] = row
      if row then
        width = #row
        bytes = bytes + width
      end
    end
    if most > 0 and bytes > most then
      return {served, appended, {}, width, {}, 0}
    end
    first = last + 1
  end
  local marks = ARGV[2] .. served[8]
  if count > 30 and redis.call('STRLEN', marks) < 500 * count then
    marked = redis.call('GET', marks) or ''
    heartbeat = is_there()
  else
    for i = 1, count do
      -- A row begins with its place in the bitmap.
      if rows[i] and redis.call('GETBIT', marks, (struct.unpack('<I4', rows[i]))) == 1 then
        marked[#marked + 1] = i - 1
      end
    end
    if #marked > 0 then
      heartbeat = is_there()
    end
  end
end
return {served, appended, rows, 0, marked, heartbeat}
