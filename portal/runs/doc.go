// Package runs has what the portal prints, the commands of a DPE, run on the simulator's own cluster, one run of a DPE at a
// time. It keeps what they print, without secrets, for who looks; how commands are run is a [Runner]'s business.
package runs
