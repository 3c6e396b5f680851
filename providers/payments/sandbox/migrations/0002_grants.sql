-- The application reads and writes all of it and deletes nothing. The books only grow.

grant select, insert on sandbox.balance_transaction to comptoir_app;
grant select, update on sandbox.clock to comptoir_app;
grant select, insert, update
   on sandbox.fault, sandbox.rule, sandbox.agenda, sandbox.method, sandbox.refund, sandbox.dispute, sandbox.account,
      sandbox.transfer, sandbox.payout
   to comptoir_app;
