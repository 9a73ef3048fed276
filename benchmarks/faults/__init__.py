"""Injects faults into real sweeps and says what they cost: ``python -m benchmarks.faults --faults 60 --minutes 15``.

A small sweep is run once undisturbed. Then it is run again and again through ``launch.py``, each time into an empty
results folder, and at random (seeded) moments something breaks: a trial, the driver, a node or Ray itself is killed,
Ctrl-C is pressed once or twice, the disk is full, bytes of a checkpoint, an evaluation or a status are cut off or
flipped, pictures or weights are replaced while trials run, a bit of what the launch made of the data changes
(``benchmarks.faults.inputs``). The same command is given again until it says that everything is done. Printed at the
end:

    injected                   faults that hit something
    survived                   of these: the launch did what it must, and the sweep came to its end
    trials lost                not ended, or stopped early where the undisturbed sweep finished them
    finished trials run again  that trained an iteration after they had finished, and had lost nothing that asks for it
    metrics differing          evaluations that are not, to the last bit of their boxes, those of the undisturbed sweep
    evaluations missing        damaged ones whose checkpoint was no longer kept (they were neither best nor last)
    repaired by training       finished trials that lost an evaluation and a checkpoint: only training makes it again
    not stopped early          finished where the undisturbed sweep stopped them

The sweeps are stopped early by the rules of ``--stop``, in turn; with ``race`` among them, as by default, the data has
100 validation images, and a sweep takes longer. HyperBand's and the race's decisions rest on what all
trials have stored. They may finish a trial that the undisturbed sweep stopped: whom they wait for to decide may have
been killed, and an idle slot is not left idle meanwhile. Exit code 0 when 60 faults were injected, or as many as were
asked for where these are fewer, everything was survived, nothing was lost or run again, and no metric differs. What
still runs three minutes after the last fault is ended, and counts as not survived.
"""
