-- The identity of the log. It is made when it is first asked for, and goes where the log goes.
-- KEYS: log id
-- ARGV: a random one
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])
