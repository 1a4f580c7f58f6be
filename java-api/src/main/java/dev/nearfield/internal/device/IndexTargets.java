// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.device;

import dev.nearfield.Acceleration;
import dev.nearfield.Accelerators;
import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.Device;
import dev.nearfield.ErrorCode;
import dev.nearfield.FallbackReason;
import dev.nearfield.VectorIndexException;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.natives.NativeEngine;
import dev.nearfield.internal.plain.JavaEngine;
import dev.nearfield.internal.value.DeviceInfo;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The devices an index may be made on, by policy and by what the caller named.
 *
 * @param devices best first, at least one; a later one is used only when those before it fail
 * @param fallback why the first is not what the policy asks for first
 * @param passedOver the backends that rank higher and could not be used
 * @param automatic the policy chose them: the GPU of another backend may stand in for one that its
 *     own backend refuses
 */
public record IndexTargets(
    List<Device> devices,
    Optional<FallbackReason> fallback,
    List<BackendStatus.Unavailable> passedOver,
    boolean automatic) {

  /**
   * Where an index may live.
   *
   * @throws IllegalArgumentException when the named device contradicts the policy
   * @throws BackendUnavailableException when there is none
   */
  public static IndexTargets of(
      Acceleration policy, @Nullable Device device, @Nullable BackendKind backend) {
    if (device != null) {
      return named(policy, Accelerators.device(device.id()));
    }
    if (backend != null) {
      return named(policy, Accelerators.device(backend.id()));
    }
    DeviceChoice choice = DeviceChoice.of(policy);
    List<Device> devices = new ArrayList<>(List.of(choice.device()));
    if (isGpu(choice.device()) && policy == Acceleration.PREFERRED) {
      devices.add(DeviceChoice.of(Acceleration.DISABLED).device());
    }
    if (policy != Acceleration.REQUIRED && devices.getLast().backend() != BackendKind.JAVA) {
      devices.add(JavaEngine.DEVICE);
    }
    return new IndexTargets(devices, fallback(policy, choice), choice.passedOver(), true);
  }

  /**
   * Something to do on a device, why that is not the one to ask first, and what the last one that
   * was tried threw.
   */
  public interface Attempt<T> {
    T on(Device device, Optional<FallbackReason> fallback, @Nullable VectorIndexException cause);
  }

  /**
   * The answer of the first device that can do it. When none can, throws what the last one threw
   * that does not simply lack what was asked for, if there is such a one.
   */
  public <T> T first(Attempt<T> attempt) {
    Optional<FallbackReason> reason = fallback;
    VectorIndexException cause = null;
    VectorIndexException able = null; // what a device threw that might have done it
    Deque<Device> left = new ArrayDeque<>(devices); // at least one
    while (true) {
      Device device = left.removeFirst();
      try {
        return attempt.on(device, reason, cause);
      } catch (VectorIndexException e) {
        if (automatic && isGpu(device) && e instanceof BackendUnavailableException) {
          DeviceChoice.gpuAfter(device.backend()).ifPresent(left::addFirst);
        }
        reason = reason(e);
        boolean lacks = e.code() == ErrorCode.UNSUPPORTED;
        if (left.isEmpty() || reason.isEmpty()) {
          if (able == null || !lacks) {
            throw e;
          }
          able.addSuppressed(e);
          throw able;
        }
        able = lacks ? able : e;
        cause = e;
      }
    }
  }

  /** Why a failure on one device sends the work to the next one; empty when it must not. */
  private static Optional<FallbackReason> reason(VectorIndexException failure) {
    return switch (failure.code()) {
      case DEVICE_OOM -> Optional.of(FallbackReason.MEMORY_BUDGET);
      case UNSUPPORTED -> Optional.of(FallbackReason.UNSUPPORTED);
      case DEVICE_LOST, BACKEND_UNAVAILABLE -> Optional.of(FallbackReason.DEVICE_LOST);
      default -> Optional.empty();
    };
  }

  private static Optional<FallbackReason> fallback(Acceleration policy, DeviceChoice choice) {
    if (choice.device().backend() == BackendKind.JAVA) {
      return Optional.of(FallbackReason.NO_NATIVE);
    }
    return policy == Acceleration.PREFERRED && !isGpu(choice.device())
        ? Optional.of(FallbackReason.NO_DEVICE)
        : Optional.empty();
  }

  private static IndexTargets named(Acceleration policy, Device device) {
    boolean gpu = isGpu(device);
    if (policy == Acceleration.REQUIRED && !gpu || policy == Acceleration.DISABLED && gpu) {
      throw new IllegalArgumentException(
          "build: device [%s] contradicts acceleration [%s]".formatted(device.id(), policy));
    }
    return new IndexTargets(List.of(device), Optional.empty(), List.of(), false);
  }

  public static boolean isGpu(Device device) {
    return device.backend() != BackendKind.CPU && device.backend() != BackendKind.JAVA;
  }

  /** Opens the engine of a device. Owner thread. */
  public static Engine open(Device device) {
    if (device.backend() == BackendKind.JAVA) {
      return new JavaEngine();
    }
    DeviceInfo info = (DeviceInfo) device;
    return NativeEngine.open(Backends.library(info), info);
  }
}
