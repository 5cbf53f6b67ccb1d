// Package image fetches container images from registries, as containerd does for a kubelet: it resolves a name,
// authenticates, chooses the platform, verifies digests, and reports failures in the words that an operator sees in the
// events of a pod.
//
// Layers are not downloaded: what runs in a pod is in this process. Their sizes are read from the manifest.
package image
