-- Reads the row of a node as it was served at a position.
-- KEYS: served, appended, past pages, past positions
-- ARGV: beginnings of the keys of prediction tables, their marks, past rows and past marks, the position: its
--       milliseconds and its sequence, node
-- Answers: {'off'} | {'gone', oldest position} | {'later', position that readers see}
--          | {'found', page, row ('' where the node was not there), 1 where the row was marked, position that readers saw,
--             events up to there, events appended}
local function pair(text)
  local ms, sequence = string.match(text, '^(%d+)-(%d+)')
  return tonumber(ms), tonumber(sequence)
end

local ms, sequence = tonumber(ARGV[5]), tonumber(ARGV[6])

local function is_after(text)
  local its_ms, its_sequence = pair(text)
  return its_ms > ms or (its_ms == ms and its_sequence > sequence)
end

-- The first record whose position is later: what was there until then.
local function before_change(key, field)
  local records = redis.call('HGET', key, field)
  local at = 1
  while records and at <= #records do
    local its_ms, its_sequence, length, content = struct.unpack('<I8I8I4', records, at)
    if its_ms > ms or (its_ms == ms and its_sequence > sequence) then
      return string.sub(records, content, content + length - 1)
    end
    at = content + length
  end
  return nil
end

local count = redis.call('LLEN', KEYS[3])
local visible = redis.call('HGET', KEYS[1], 'position')
if count == 0 or not visible then
  return {'off'}
end
local visible_ms, visible_sequence = pair(visible)
if visible_ms < ms or (visible_ms == ms and visible_sequence < sequence) then
  return {'later', visible}
end
local low, high = 0, count
while low < high do
  local middle = math.floor((low + high) / 2)
  if is_after(redis.call('LINDEX', KEYS[3], middle)) then
    high = middle
  else
    low = middle + 1
  end
end
if low == 0 then
  local oldest = string.match(redis.call('LINDEX', KEYS[3], 0), '^(%S+)')
  return {'gone', oldest}
end
local page = redis.call('LINDEX', KEYS[3], low - 1)
local table_name = string.match(page, '^%S+ %d+ (%S+)')
local row, marks_before
local pages = {}
for i = low - 1, count - 1 do
  local number, its_table = string.match(redis.call('LINDEX', KEYS[3], i), '^%S+ (%d+) (%S+)')
  if its_table ~= table_name then
    break
  end
  pages[#pages + 1] = number
  if not row then
    row = before_change(ARGV[3] .. number, ARGV[7])
  end
end
row = row or redis.call('HGET', ARGV[1] .. table_name, ARGV[7]) or ''
local marked = 0
if row ~= '' then
  local place = struct.unpack('<I4', row)
  local block = math.floor(place / 4096)
  for _, number in ipairs(pages) do
    marks_before = marks_before or before_change(ARGV[4] .. number, tostring(block))
  end
  if marks_before then
    local byte = string.byte(marks_before, math.floor((place % 4096) / 8) + 1) or 0
    marked = math.floor(byte / 2 ^ (7 - place % 8)) % 2
  else
    marked = redis.call('GETBIT', ARGV[2] .. table_name, place)
  end
end
local seen = redis.call('XREVRANGE', KEYS[4], ARGV[5] .. '-' .. ARGV[6], '-', 'COUNT', 1)[1]
return {
  'found', page, row, marked, seen and seen[1] or '0-0', seen and seen[2][2] or '0', redis.call('GET', KEYS[2]) or '0'
}
