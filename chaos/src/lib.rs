//! Faults for clusters of real processes: partitions, kills, power cuts, rot.
