"""The rules of docs/hes.md as SQL for DuckDB: window functions over the file itself.

Written from the rules, and sharing nothing with `mappings.hes`: tables `spell`, `stay`, `readmission`,
`reoperation` are what its functions have to say of the same file.
"""

from pathlib import Path

import duckdb

_DATE = "('1800-01-01', '1801-01-01', '1600-01-01', '1582-10-15')"
_TRANSFER = "('51', '52', '53')"
_SLOTS = "".join(
    f" UNION ALL SELECT CAST(ROWNO AS BIGINT), OPERTN_{n:02}, OPDATE_{n:02} FROM sent"  # noqa: S608
    for n in range(1, 25)
).removeprefix(" UNION ALL")

RULES = f"""
CREATE VIEW cleaned AS SELECT CAST(ROWNO AS BIGINT) AS rowno, ENCRYPTED_HESID AS person,
  EPIKEY AS epikey, EPISTAT AS epistat, DISMETH AS dismeth, PROCODE,
  CASE WHEN EPISTART NOT IN {_DATE} THEN CAST(EPISTART AS DATE) END AS epistart,
  CASE WHEN EPIEND NOT IN {_DATE} THEN CAST(EPIEND AS DATE) END AS epiend,
  CASE WHEN ADMIDATE NOT IN {_DATE} THEN CAST(ADMIDATE AS DATE) END AS admidate,
  CASE WHEN DISDATE NOT IN {_DATE} THEN CAST(DISDATE AS DATE) END AS disdate,
  CASE WHEN EPIORDER NOT IN ('98', '99') THEN CAST(EPIORDER AS INT) END AS epiorder,
  nullif(nullif(ADMIMETH, '98'), '99') AS admimeth, DISDEST AS disdest, ADMISORC AS admisorc
FROM sent;
CREATE VIEW filled AS SELECT * EXCLUDE (admidate),
  CASE WHEN admidate IS NOT NULL THEN admidate
       WHEN epiorder = 1 AND coalesce(admimeth, '') NOT IN ('2B', '81')
            AND coalesce(admisorc, '') NOT IN {_TRANSFER} THEN epistart END AS admidate,
  CASE WHEN PROCODE NOT IN ('89997', '89999') THEN left(PROCODE, 3) END AS procode3
FROM cleaned;
CREATE TABLE valid AS SELECT *,
  row_number() OVER (PARTITION BY epikey ORDER BY rowno) AS copy FROM filled
WHERE epistat = '3' AND person IS NOT NULL AND admidate IS NOT NULL AND procode3 IS NOT NULL
  AND epikey IS NOT NULL AND epistart IS NOT NULL AND epiend IS NOT NULL;
CREATE TABLE kept AS SELECT * FROM valid WHERE copy = 1;
CREATE TABLE episode AS
WITH lagged AS (SELECT *, row_number() OVER w AS place, lag(admidate) OVER w AS p_admidate,
    lag(epistart) OVER w AS p_epistart, lag(epiend) OVER w AS p_epiend,
    lag(dismeth) OVER w AS p_dismeth FROM kept
  WINDOW w AS (PARTITION BY person, procode3
               ORDER BY epistart, epiend, epiorder NULLS FIRST, epikey)),
marked AS (SELECT *, CASE WHEN admidate = p_admidate OR epistart = p_epistart
    OR (p_dismeth IN ('8', '9') AND epistart = p_epiend) THEN 0 ELSE 1 END AS is_new FROM lagged)
SELECT *, sum(is_new) OVER (PARTITION BY person, procode3 ORDER BY place) AS spell FROM marked;
CREATE TABLE spell AS SELECT person, procode3, spell, count(*) AS episodes,
  arg_min(epikey, place) AS first_key, arg_min(admidate, place) AS admidate,
  arg_min(epistart, place) AS epistart, arg_min(coalesce(admimeth, ''), place) AS admimeth,
  arg_min(coalesce(admisorc, ''), place) AS admisorc, max(epiend) AS epiend,
  arg_max(epikey, (epiend, place)) AS last_key
FROM episode GROUP BY ALL;
CREATE TABLE placed AS
WITH ended AS (SELECT s.*, e.disdate, coalesce(e.dismeth, '') AS dismeth,
    coalesce(e.disdest, '') AS disdest FROM spell s JOIN kept e ON e.epikey = s.last_key),
lagged AS (SELECT *, row_number() OVER w AS place, lag(epiend) OVER w AS p_epiend,
    lag(disdest) OVER w AS p_disdest FROM ended
  WINDOW w AS (PARTITION BY person ORDER BY admidate, epistart, epiend, procode3, first_key)),
marked AS (SELECT *, CASE WHEN epistart - p_epiend <= 3 AND (p_disdest IN {_TRANSFER}
    OR admisorc IN {_TRANSFER} OR admimeth IN ('2B', '81')) THEN 0 ELSE 1 END AS is_new FROM lagged)
SELECT *, sum(is_new) OVER (PARTITION BY person ORDER BY place) AS stay FROM marked;
CREATE TABLE stay AS SELECT person, stay, count(*) AS spells,
  arg_min(first_key, place) AS first_key, arg_min(admidate, place) AS admitted,
  arg_min(admimeth, place) AS admimeth, arg_max(last_key, (epiend, place)) AS last_key
FROM placed GROUP BY ALL;
CREATE TABLE discharge AS SELECT s.*, e.disdate AS discharged, coalesce(e.dismeth, '') AS dismeth
FROM stay s JOIN kept e ON e.epikey = s.last_key;
CREATE TABLE readmission AS
WITH paired AS (SELECT a.person, b.first_key AS before, a.first_key,
    a.admitted - b.discharged AS days,
    row_number() OVER (PARTITION BY a.person, a.stay ORDER BY b.discharged DESC, b.stay DESC) AS near
  FROM discharge a JOIN discharge b ON a.person = b.person AND b.stay < a.stay
    AND b.discharged <= a.admitted AND b.dismeth NOT IN ('4', '5')
  WHERE a.admimeth IN ('21', '22', '23', '24', '25', '2A', '2B', '2C', '2D', '28'))
SELECT before, first_key, days FROM paired WHERE near = 1 AND days BETWEEN 0 AND 29;
CREATE TABLE operation AS SELECT DISTINCT e.person, CAST(day AS DATE) AS day, code
FROM ({_SLOTS}) AS slot(rowno, code, day) JOIN kept e USING (rowno)
WHERE code NOT IN ('-', '&', 'X997', 'X998', 'X999') AND day NOT IN {_DATE};
CREATE TABLE reoperation AS
WITH days AS (SELECT person, day, bool_or(code IN ('H411', 'H414')) AS is_index,
    bool_or(code IN ('T301', 'T283', 'Y713')) AS again,
    bool_or(code IN ('Y703', 'H154')) AS planned, list_sort(list(code)) AS codes
  FROM operation GROUP BY ALL)
SELECT i.person, i.day AS index_day, r.day, r.codes FROM days i JOIN days r USING (person)
WHERE i.is_index AND r.day > i.day AND r.day - i.day <= 30 AND r.again AND NOT r.planned;
"""  # noqa: S608 - of constants


def told(file: Path) -> duckdb.DuckDBPyConnection:
    """Have DuckDB read a file and follow the rules; returns the connection that has the tables."""
    database = duckdb.connect()
    database.execute(
        "CREATE TABLE sent AS SELECT * FROM read_csv(?, delim='|', header=true, quote='\"',"
        " escape='\"', all_varchar=true, nullstr='', auto_detect=false, columns=?)",
        [str(file), _columns(file)],
    )
    database.execute(RULES)
    return database


def _alone(name: str, rules: dict[str, str]) -> str:
    """Return the condition that one of several rules holds, and no other."""
    others = " AND ".join(f"NOT ({rule})" for each, rule in rules.items() if each != name)
    return f"({rules[name]}) AND {others}"


_JOINED = {
    "admitted the same day": "admidate = p_admidate",
    "begun the same day": "epistart = p_epistart",
    "still there": "coalesce(p_dismeth, '') IN ('8', '9') AND epistart = p_epiend",
}
_GOES_ON = {
    "sent on": f"p_disdest IN {_TRANSFER}",
    "came from another": f"admisorc IN {_TRANSFER}",
    "admitted as a transfer": "admimeth IN ('2B', '81')",
}
_DAYS = """(WITH days AS (SELECT person, day, bool_or(code IN ('H411', 'H414')) AS is_index,
    bool_or(code IN ('T301', 'T283', 'Y713')) AS again,
    bool_or(code IN ('Y703', 'H154')) AS planned FROM operation GROUP BY ALL)
  SELECT r.day - i.day AS after, r.planned FROM days i JOIN days r USING (person)
  WHERE i.is_index AND r.again)"""
_ENDED = "discharge a JOIN discharge b ON a.person = b.person AND b.stay < a.stay"
_GAP = "epistart - p_epiend"
_CASES: dict[str, tuple[str, str]] = {
    **{
        f"a spell: {name}, and nothing else": ("episode", _alone(name, _JOINED)) for name in _JOINED
    },
    **{
        f"a stay: {name}, and nothing else": ("placed", f"{_GAP} <= 3 AND {_alone(name, _GOES_ON)}")
        for name in _GOES_ON
    },
    **{
        f"no stay: {name} too late": ("placed", f"{_GAP} = 4 AND {_GOES_ON[name]}")
        for name in _GOES_ON
    },
    "no ADMIDATE, filled": ("kept JOIN cleaned c USING (rowno)", "c.admidate IS NULL"),
    "no ADMIDATE, a transfer": ("filled", "admidate IS NULL AND epiorder = 1"),
    "an EPIKEY twice": ("valid", "copy > 1"),
    "unfinished": ("filled", "epistat <> '3'"),
    "no person": ("filled", "person IS NULL"),
    "no provider": ("filled", "procode3 IS NULL"),
    "no EPISTART": ("filled", "epistart IS NULL"),
    "no EPIEND": ("filled", "epiend IS NULL"),
    "died": ("discharge", "dismeth = '4'"),
    "no discharge": ("discharge", "discharged IS NULL"),
    "readmitted the same day": ("readmission", "days = 0"),
    "readmitted on the last day": ("readmission", "days = 29"),
    "an emergency after a death": (
        _ENDED,
        "b.dismeth IN ('4', '5') AND a.admimeth = '21' AND a.admitted - b.discharged BETWEEN 0 AND 29",
    ),
    "an emergency too late": (
        _ENDED,
        "b.dismeth NOT IN ('4', '5') AND a.admimeth = '21' AND a.admitted - b.discharged = 30",
    ),
    "reoperated": ("reoperation", "true"),
    "operated on the same day": (_DAYS, "after = 0"),
    "planned": (_DAYS, "after BETWEEN 1 AND 30 AND planned"),
    "operated on the last day": (_DAYS, "after = 30 AND NOT planned"),
    "operated too late": (_DAYS, "after = 31 AND NOT planned"),
}


def met(database: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Count in a file that the rules were followed on how often each of their cases occurs."""
    found = {}
    for name, (source, condition) in _CASES.items():
        asked = f"SELECT count(*) FROM {source} WHERE {condition}"  # noqa: S608 - of constants
        ((found[name],),) = database.execute(asked).fetchall()
    return found


def _columns(file: Path) -> dict[str, str]:
    with file.open(encoding="utf-8") as lines:
        return dict.fromkeys(lines.readline().strip().upper().split("|"), "VARCHAR")
