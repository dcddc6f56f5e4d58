-- What the log holds around a position.
-- KEYS: log, trimmed. ARGV: position.
-- Answers: {position up to which the log is trimmed, last position ever appended, entries at the position (0 or 1)}
return {redis.call('GET', KEYS[2]) or '0-0', last_position(), #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])}
