// Package release reads what Helm notes in a cluster: the records of releases, by their labels alone, and which release an
// object is part of. A record's content, which holds secrets, is never read.
package release

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Name names a release.
type Name struct{ Namespace, Name string }

// Record is what a record of a release says of itself in its labels. Source: helm, pkg/storage/driver, secrets.go.
type Record struct {
	Release          Name
	Status, Revision string
}

// RecordOf reads o, which is of a resource, as a record of a release, if it is one: a Secret or, if Helm is told so, a ConfigMap.
func RecordOf(resource string, o metav1.Object) (Record, bool) {
	l := o.GetLabels()
	if resource != "secrets" && resource != "configmaps" || l["owner"] != "helm" || !strings.HasPrefix(o.GetName(), "sh.helm.release.v1.") {
		return Record{}, false
	}
	return Record{Name{o.GetNamespace(), l["name"]}, l["status"], l["version"]}, true
}

// Of gives the release that o says it is part of; the zero Name if none.
// Source: Helm, "Labels and Annotations", "Chart Hooks".
func Of(o metav1.Object) Name {
	notes := o.GetAnnotations()
	if name := notes["meta.helm.sh/release-name"]; name != "" {
		ns := notes["meta.helm.sh/release-namespace"]
		if ns == "" {
			ns = o.GetNamespace()
		}
		return Name{ns, name}
	}
	if notes["helm.sh/hook"] != "" {
		return Name{o.GetNamespace(), o.GetLabels()["app.kubernetes.io/instance"]}
	}
	return Name{}
}

// Change is what a change of a record means.
type Change struct {
	What   string // the event's name: "helm upgrade started", "helm release deployed"; empty: nothing worth telling
	Begins bool   // an operation has begun; else one has ended
}

// Changed tells what it means that a record's status went from before, empty for a new one, to after, empty for one that is
// deleted.
func Changed(before, after string) Change {
	if after == "" {
		if before == "uninstalling" {
			return Change{What: "helm release uninstalled"}
		}
		return Change{} // an old revision that is forgotten
	}
	if after == before {
		return Change{}
	}
	switch after {
	case "pending-install":
		return Change{"helm install started", true}
	case "pending-upgrade":
		return Change{"helm upgrade started", true}
	case "pending-rollback":
		return Change{"helm rollback started", true}
	case "uninstalling":
		return Change{"helm uninstall started", true}
	case "deployed", "failed", "uninstalled":
		return Change{What: "helm release " + after}
	}
	return Change{}
}
