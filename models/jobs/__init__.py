"""The queue of background jobs: the tables of pgqueuer, in the schema ``jobs``, made by our migrations.

Their SQL is what the library itself declares (pgqueuer 1.6, ``QueryBuilderEnvironment.build_install_query``); a
test has the library compare what was made with what it would make. There are no models: only the library reads
and writes them.
"""
