package stack

import (
	"github.com/dpesim/dpesim/dpe"
	"github.com/dpesim/dpesim/dpm"
	"github.com/dpesim/dpesim/objstore"
	"github.com/dpesim/dpesim/portal"
	"github.com/dpesim/dpesim/portal/api"
	"github.com/dpesim/dpesim/sim/cluster"
	"github.com/dpesim/dpesim/sim/edge"
	"github.com/dpesim/dpesim/sim/fault"
	"github.com/dpesim/dpesim/sim/registry"
)

// faultPoints is every place that can be broken on purpose, from the cloud to the engines.
func faultPoints() []api.FaultPoint {
	at := func(p fault.Point, where, symptom string) api.FaultPoint {
		return api.FaultPoint{Point: string(p), Where: where, Symptom: symptom}
	}
	return []api.FaultPoint{
		at(portal.FaultRequest, "portal, each request", "the portal answers with the error"),
		at(registry.FaultPull, "artifacts registry, before anything is handed out", "helm and nodes cannot pull: ErrImagePull, ImagePullBackOff"),
		at(dpm.FaultConnect, "DPM, as an engine connects", "the engine is refused and tries again: orange in the portal"),
		at(dpm.FaultDispatch, "DPM, as commands are sent", "the stream ends; jobs come back with the next attempt"),
		at(dpm.FaultEvent, "DPM, as an engine's event arrives", "the stream ends before the event is stored; the engine repeats it"),
		at(objstore.FaultGet, "object storage, before an object is read", "jobs fail to read their input"),
		at(objstore.FaultPut, "object storage, before an object is written", "jobs fail to write their result"),
		at(edge.FaultAccept, "edge, each new connection", "connections are cut as by a broken network; with a delay alone: latency"),
		at(cluster.PointPull, "cluster node, before an image is pulled", "ErrImagePull, ImagePullBackOff"),
		at(cluster.PointOOM, "cluster node, each running engine", "OOMKilled, exit code 137, restart with back-off"),
		at(dpe.FaultConnect, "engine, before it dials DPM", "the engine does not connect and tries again"),
		at(dpe.FaultCommand, "engine, before a command is begun", "the attempt fails"),
		at(dpe.FaultStorage, "engine, each request to the object storage", "the job's input or result cannot be moved"),
		at(dpe.FaultScratch, "engine, before it writes to its scratch volume", "the job fails as on a full disk"),
	}
}
