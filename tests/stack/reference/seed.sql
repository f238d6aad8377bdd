INSERT INTO items (name, description, status, price, tags, owner_id, created_at)
SELECT 'item ' || n,
       'bulk item ' || n || ' of a catalogue with a description of ordinary length',
       (ARRAY['draft', 'active', 'archived'])[1 + n % 3],
       round((1 + random() * 999)::numeric, 2),
       '["bulk"]',
       (SELECT min(id) FROM users),
       now() - random() * interval '365 days'
FROM generate_series(1, :rows) AS n;

ANALYZE items;
