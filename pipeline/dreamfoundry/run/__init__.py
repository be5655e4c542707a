"""One run: a manifest becomes a library on many processes.

    build             from request to result: check, plan, build, publish
    request           the request of a run and its result
    run_ids           names that sort in the order of the runs
    run_records       the facts of one run, and the records it writes
    wiring            workers, slots, scheduler and leases of a run, connected
    driver            the loop: carries out the scheduler's commands, feeds answers back
    messages          the plain values between driver and workers
    outcomes          decisions as records in the library
    unreadable_keys   objects of the library that cannot be read: told once, and left out
    lease_keeper      leases of this run's fields, renewed on a thread of their own
    default_workers   numbers of workers when the request names none
    progress          counts, speed and time left, for people
    display           a bar on a terminal, plain lines elsewhere
    report            the records of a run: report and progress
    exit_codes        the status of a run and the exit code of each
    planning/         from a manifest to its builds, and a dry run that ends there
    scheduling/       who does what next: a pure state machine, no Ray, no store
    workers/          distiller and exporter, without Ray
    ray/              the same as Ray actors: the only place with Ray

Bytes never pass the driver: workers write to the store and answer with keys and numbers. The
store is the only truth; everything that Ray knows may be lost at any moment.
"""
