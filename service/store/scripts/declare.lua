-- Stores a changed schema and tells the worker through the log.
-- KEYS: log, schema, appended, classes
-- ARGV: schema the change was made from, schema to store, schema for the log, '1' where `directed` changes,
--       most classes, format of the entry, classes that may be new ...
-- Answers: {'stale', schema} | {'directed'} | {'classes', label} | {'declared', position}
local schema = redis.call('GET', KEYS[2]) or ''
if schema ~= ARGV[1] then
  return {'stale', schema}
end
if ARGV[4] == '1' and tonumber(redis.call('GET', KEYS[3]) or '0') > 0 then
  return {'directed'}
end
local new, room = {}, tonumber(ARGV[5]) - redis.call('SCARD', KEYS[4])
for i = 7, #ARGV do
  if redis.call('SISMEMBER', KEYS[4], ARGV[i]) == 0 then
    if #new >= room then
      return {'classes', ARGV[i]}
    end
    new[#new + 1] = ARGV[i]
  end
end
for _, label in ipairs(new) do
  redis.call('SADD', KEYS[4], label)
end
redis.call('SET', KEYS[2], ARGV[2])
return {'declared', redis.call('XADD', KEYS[1], '*', 'schema', ARGV[3], 'v', ARGV[6])}
