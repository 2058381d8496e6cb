// Package packaging holds what turns the program into packages: a .deb, archives, a container image.
// There is no code here but its tests, which install, run and remove them (build tag lab).
package packaging
