-- The floors' tables: one row per account, per movement and per request key, and nothing else.
create table account (
    id bigint primary key,
    posted numeric(38, 0) not null default 0,
    version bigint not null default 0
) with (fillfactor = 60);

create table request (key text primary key, group_id bigint not null);

create table movement (
    id bigint generated always as identity primary key,
    debit bigint not null,
    credit bigint not null,
    amount numeric(38, 0) not null,
    at timestamptz not null default clock_timestamp()
);
