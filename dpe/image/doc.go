// Package image makes the container image of the engine out of executables of dpesim itself: no base image, no
// download, no builder. A registry serves it as [Image] says; nothing is copied, the executable is read where it is.
//
// What is in it: /dpesim, the public certificate authorities, /etc/passwd with the unprivileged user, /tmp.
package image

import "github.com/dpesim/dpesim/sim"

// Repository is where a registry holds the image; the tag is the platform release.
const Repository = "images/" + Title

// Reference gives the name of the image of a release in a registry, host[:port].
func Reference(registry string, release sim.Release) string {
	return registry + "/" + Repository + ":" + string(release)
}

// What the image's configuration says (OCI image specification 1.1, "Image configuration").
const (
	Title      = "dpe"         // label org.opencontainers.image.title
	Entrypoint = "/dpesim"     // the executable; its arguments are "dpe run"
	User       = "65532:65532" // nonroot, as distroless images have it
	certFile   = "/etc/ssl/certs/ca-certificates.crt"

	// LabelKind tells an image of dpesim from others: a cluster that runs engines in its own process looks at it.
	LabelKind = "dev.dpesim.image"
	// Kind is the value of LabelKind for the engine.
	Kind = "dpe"
	// LabelVersion holds the platform release. Source: OCI image specification 1.1, "Annotations".
	LabelVersion = "org.opencontainers.image.version"
	// LabelTitle holds Title.
	LabelTitle = "org.opencontainers.image.title"
)
