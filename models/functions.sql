-- Functions of the business tables; applied again by every migration run, so this is always the present text.

-- How a gross amount is split, by the fee rule in force at a moment. No row: no rule speaks of it.
-- All amounts are whole numbers of the currency's smallest unit. The percentage follows the
-- largest-remainder rule between fee and net; a tie goes to the creator.
create or replace function public.fee_split(p_kind text, p_currency text, p_plan text, p_gross numeric, p_at timestamptz)
returns table (rule_id uuid, percent_basis_points int, fixed numeric, percent_fee numeric, fee numeric, tax numeric,
    net numeric, maturity_delay_seconds int)
language sql stable parallel safe as $$
    select r.id, r.percent_basis_points, r.fixed, p.percent_fee, p.percent_fee + r.fixed, 0::numeric,
        p_gross - p.percent_fee - r.fixed, r.maturity_delay_seconds
    from (
        select f.* from public.fee_rules f
        where f.kind = p_kind and f.plan = p_plan and (f.currency = p_currency or f.currency is null)
            and f.valid_from <= p_at
        order by f.currency is null, f.valid_from desc
        limit 1
    ) r,
    lateral (select div(p_gross * r.percent_basis_points + 4999, 10000) as percent_fee) p
$$;
revoke execute on function public.fee_split(text, text, text, numeric, timestamptz) from public;
grant execute on function public.fee_split(text, text, text, numeric, timestamptz) to comptoir_app;
