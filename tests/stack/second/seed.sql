INSERT INTO orders (customer, article, quantity, price, state, created_at)
SELECT 'Customer ' || i % 20000, 'Article ' || i % 400, 1 + i % 7, 5 + i % 190, 'closed', now() - (i % 700) * interval '1 day'
FROM generate_series(1, :rows) AS i;
ANALYZE orders;
