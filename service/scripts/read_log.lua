-- Reads whole entries until they hold a number of events, without sending more than that.
-- KEYS: log. ARGV: position to read after, events wanted.
-- Answers: the entries, as XRANGE gives them.
local after, wanted = ARGV[1], tonumber(ARGV[2])
local entries, events, size = {}, 0, 1
while events < wanted do
  local part = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', size)
  for _, entry in ipairs(part) do
    local fields = entry[2]
    for i = 1, #fields, 2 do
      if fields[i] == 'n' then
        events = events + (tonumber(fields[i + 1]) or 0)
      end
    end
    entries[#entries + 1] = entry
    after = entry[1]
    if events >= wanted then
      return entries
    end
  end
  if #part < size then
    return entries
  end
  -- Entries as large as those so far: neither one call each for small ones, nor a heap of large ones to throw away.
  size = math.max(1, math.min(100, math.floor((wanted - events) * #entries / math.max(events, 1))))
end
return entries
