// Package peers holds the lab ring of tests: the gateway against programs that are not ours.
// They run with the build tag lab (`make lab`) and fail, never skip, when a program is missing;
// install.sh installs them on Debian.
package peers
