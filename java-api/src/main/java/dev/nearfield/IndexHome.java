// SPDX-License-Identifier: Apache-2.0
package dev.nearfield;

/** Where an index is at a time. */
record IndexHome(DeviceOwner owner, Engine engine, DeviceOwner.Seat seat, Placement placement) {}
