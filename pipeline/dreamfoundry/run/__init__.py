"""One run: a manifest becomes a library on many processes.

    build             from request to report: check, plan, drive, publish
    plan              rows -> builds: keys, what exists already, what shares a field
    driver            the loop: carries out the scheduler's commands, feeds answers back
    messages          the plain values that travel between driver and workers
    outcomes          how a decision is written down
    lease_keeper      leases of this run's fields, renewed on a thread of their own
    default_workers   how many workers a run starts when nobody says
    progress          what a person sees meanwhile
    report            what a run leaves behind: report and progress
    exit_codes        the status of a run and the exit code of each
    scheduling/       who does what next: a pure state machine, no Ray, no store
    workers/          distiller and exporter, without Ray
    ray/              the same as Ray actors: the only place with Ray

Bytes never pass the driver: workers write to the store and answer with keys and numbers. The
store is the only truth; everything that Ray knows may be lost at any moment.
"""
