\set n :n + 1
\set id 1008000000000000000 + :n * 64000 + :client_id * 1000
insert into request values (:prefix || :id, :n);
