// Package hostload measures how busy the host or container of this process is, in percent of the CPU it may use, so that the
// leader can give more shards to those with room.
//
// [Detect] looks once where the process runs and returns the [Meter] that fits, or none:
//
//	where                              source                                  as the Java KCL's
//	ECS task (metadata URI v4)         task and container statistics           EcsCpuUtilizationMetrics
//	container with a cgroup, version 2 cpu.stat, cpu.max, cpuset               Cgroupv2CpuUtilization…
//	container with a cgroup, version 1 cpuacct.usage, cfs quota, cpuset        Cgroupv1CpuUtilization…
//	EC2 instance                       the first line of /proc/stat            LinuxCpuUtilization…
//	anything else                      none: leases are shared by throughput
//
// The figures mean the same as the Java KCL's, since one leader compares the workers of both. Two things are better here:
// a container limited by GOMAXPROCS below its quota counts as full when its processors are, and a first sample, which can only
// be zero, is not reported.
package hostload
