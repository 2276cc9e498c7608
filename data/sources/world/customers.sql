-- One version of one customer's profile.
SELECT
    event_id,
    record_version,
    customer_id,
    event_at,
    known_at,
    op,
    signup_at,
    language,
    country,
    region,
    segment,
    acquisition,
    relationship,
    channel_pref,
    contact_opt_in,
    time_zone,
    birth_year,
    csr_opt_in
FROM read_parquet('{root}/customers/*.parquet')
