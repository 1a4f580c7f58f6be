// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.turn;

import dev.nearfield.Placement;
import dev.nearfield.internal.engine.Engine;

/** Where an index is at a time. */
public record IndexHome(
    DeviceOwner owner, Engine engine, DeviceOwner.Seat seat, Placement placement) {}
