import time
from services.reconciliation import comparing
from tests.reconciliation.scene import open_scene
async def test_scale(dsn, tmp_path):
    async with open_scene(dsn, tmp_path) as scene:
        p = await scene.tip(); await scene.told()
        N=100000
        o=scene.owner
        cols={}
        async def columns(t):
            return [r[0] for r in await o.fetch("select attname from pg_attribute where attrelid=$1::text::regclass and attnum>0 and not attisdropped and attgenerated='' order by attnum", t)]
        await o.execute("create table ids as select gen_random_uuid() as id, gen_random_uuid() as g1, gen_random_uuid() as g2, n from generate_series(1,%d) n" % N)
        await o.execute("set session_replication_role=replica")
        async def clone(table, where, repl):
            c=await columns(table)
            await o.execute(f"insert into {table} ({','.join(c)}) overriding system value select {','.join(repl.get(x,'t.'+x) for x in c)} from {table} t, ids where {where}")
        await clone("payments", "true", {"id":"ids.id","provider_reference":"'sbx_'||ids.n"})
        await clone("tips","true",{"id":"ids.id","payment_id":"ids.id"})
        await clone("payment_events","true",{"payment_id":"ids.id","id":"nextval(pg_get_serial_sequence('payment_events','id'))"})
        await clone("ledger.request","key like 'capture:%'",{"key":"'capture:'||ids.id","group_id":"ids.g1"})
        await clone("ledger.request","key like 'charge:%'",{"key":"'charge:sandbox:txn_'||ids.n","group_id":"ids.g2"})
        for i,(kind,g) in enumerate((("capture","g1"),("charge","g2"))):
            await clone("ledger.movement",f"t.kind like '{kind}.%'",{"id":"gen_random_uuid()","group_id":"ids."+g,"reference":"ids.id","debit_version":f"t.debit_version+ids.n*10+{i*2000000}","credit_version":f"t.credit_version+ids.n*10+{i*2000000}"})
        await clone("sandbox.balance_transaction","true",{"id":"'txn_'||ids.n","seq":"ids.n+10"})
        await o.execute("set session_replication_role=origin")
        marks=[]
        orig=comparing._collected
        t0=time.perf_counter()
        async def timed(check, found, note=""):
            t=time.perf_counter(); r=await orig(check, found, note); marks.append((check.value, round(time.perf_counter()-t,2), len(r.differences)+r.more)); return r
        comparing._collected=timed
        rep=await scene.reconcile()
        print(marks, round(time.perf_counter()-t0,1), rep.entries)
        import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024,'MiB')
