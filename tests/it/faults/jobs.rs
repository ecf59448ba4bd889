//! Jobs on full disks, over large ledgers and while they are stopped.
