-- Reads whole entries until they hold a number of events, or of bytes; one entry at least.
-- KEYS: log. ARGV: position to read after, events wanted, bytes wanted at most.
-- Answers: the entries, as XRANGE gives them.
-- Every entry counts as a thousand bytes more than it has: that is what handling it costs.
-- One after the other: how large an entry is shows only when it is there, and of large ones none may be fetched for nothing.
local after, wanted, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local entries, events, bytes = {}, 0, 0
while events < wanted do
  local entry = redis.call('XRANGE', KEYS[1], '(' .. after, '+', 'COUNT', 1)[1]
  if not entry then
    return entries
  end
  local fields = entry[2]
  bytes = bytes + 1000
  for i = 1, #fields, 2 do
    if fields[i] == 'n' then
      events = events + (tonumber(fields[i + 1]) or 0)
    end
    bytes = bytes + #fields[i] + #fields[i + 1]
  end
  if bytes > room and #entries > 0 then
    return entries
  end
  entries[#entries + 1] = entry
  after = entry[1]
end
return entries
