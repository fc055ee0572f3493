//! The view `visit`, for other programs that read the file.

/// One row per visit, with seconds by label. A step from one record to the next counts for the label of the first, as in
/// [`super::visit::each_visit`]; a test holds both to the same figures.
pub(super) const VIEW: &str = "CREATE VIEW visit AS
WITH step AS (
    SELECT session, track, id, wall_us, label,
        min(max(coalesce(lead(monotonic_us) OVER w - monotonic_us, 0), 0), 10000001) AS us,
        lag(label) OVER w IS NOT label OR
            monotonic_us - lag(monotonic_us) OVER w NOT BETWEEN 0 AND 10000000 AS begins
    FROM record WINDOW w AS (PARTITION BY session, track ORDER BY id)
), counted AS (
    SELECT session, track, id, wall_us, label, CASE WHEN us > 10000000 THEN 0 ELSE us END AS us,
        sum(begins) OVER (PARTITION BY session, track ORDER BY id) AS run
    FROM step
), run AS (
    SELECT session, track, label, min(wall_us) AS first_us, max(wall_us) AS last_us, count(*) AS records, sum(us) AS us
    FROM counted GROUP BY session, track, run
)
SELECT session, track, min(first_us) AS first_wall_us, max(last_us) AS last_wall_us, sum(records) AS records,
    sum(us) / 1e6 AS seconds,
    total(us) FILTER (WHERE label = 0) / 1e6 AS neutral,
    total(us) FILTER (WHERE label = 1) / 1e6 AS happiness,
    total(us) FILTER (WHERE label = 2) / 1e6 AS surprise,
    total(us) FILTER (WHERE label = 3) / 1e6 AS sadness,
    total(us) FILTER (WHERE label = 4) / 1e6 AS anger,
    total(us) FILTER (WHERE label = 5) / 1e6 AS disgust,
    total(us) FILTER (WHERE label = 6) / 1e6 AS fear,
    total(us) FILTER (WHERE label = 7) / 1e6 AS contempt,
    total(us) FILTER (WHERE label IS NULL) / 1e6 AS unsure,
    coalesce(max(us) FILTER (WHERE label = 1), 0) / 1e6 AS longest_smile
FROM run GROUP BY session, track";
