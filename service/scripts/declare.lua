-- Stores a changed schema and tells the worker through the log.
-- KEYS: log, schema, appended
-- ARGV: schema the change was made from, schema to store, schema for the log, '1' where `directed` changes
-- Answers: {'stale', schema} | {'directed'} | {'declared', position}
local schema = redis.call('GET', KEYS[2]) or ''
if schema ~= ARGV[1] then
  return {'stale', schema}
end
if ARGV[4] == '1' and tonumber(redis.call('GET', KEYS[3]) or '0') > 0 then
  return {'directed'}
end
redis.call('SET', KEYS[2], ARGV[2])
return {'declared', redis.call('XADD', KEYS[1], '*', 'schema', ARGV[3])}
