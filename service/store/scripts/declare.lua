-- Stores a changed schema and passes it to the worker through the log.
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
local refused = add_classes(ARGV[5], 7)
if refused then
  return {'classes', refused}
end
redis.call('SET', KEYS[2], ARGV[2])
return {'declared', redis.call('XADD', KEYS[1], '*', 'schema', ARGV[3], 'v', ARGV[6])}
