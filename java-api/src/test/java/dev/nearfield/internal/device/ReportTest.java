// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.device;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.nearfield.Acceleration;
import dev.nearfield.Accelerators;
import dev.nearfield.BackendKind;
import dev.nearfield.BackendStatus;
import dev.nearfield.BackendStatus.Available;
import dev.nearfield.BackendStatus.Reason;
import dev.nearfield.BackendStatus.Unavailable;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.Device;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.FallbackReason;
import dev.nearfield.IndexSpec;
import dev.nearfield.Metric;
import dev.nearfield.Properties;
import dev.nearfield.VectorIndexException;
import dev.nearfield.internal.load.NativeBuild;
import dev.nearfield.internal.load.Platform;
import dev.nearfield.internal.move.PolicyRoutes;
import dev.nearfield.internal.table.IndexConfig;
import dev.nearfield.internal.value.PlacementInfo;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * What probe, report, device names and policies say about backends that are made up by fixtures.
 */
class ReportTest {
  private final Properties properties = new Properties();

  @AfterEach
  void restore() {
    properties.close();
    Accelerators.probe(); // forgets what the fixtures were
  }

  private void use(String backend, String fixture) {
    properties.set(
        "nearfield.native." + backend + ".path", NativeBuild.fixture(fixture).toString());
    Backends.forget(BackendKind.of(backend));
  }

  /** No GPU, whatever this machine has. */
  private void withoutGpus() {
    for (String gpu : List.of("cuda", "metal", "wgpu")) {
      properties.set("nearfield." + gpu + ".enabled", "false");
    }
  }

  @Test
  void probeAnswersEveryBackendInOrder() {
    List<BackendStatus> statuses = Accelerators.probe();
    assertEquals(
        Arrays.asList(BackendKind.values()), statuses.stream().map(BackendStatus::kind).toList());
    Available java = assertInstanceOf(Available.class, statuses.getLast());
    assertEquals("java:0", java.devices().getFirst().id());
    assertInstanceOf(Available.class, statuses.get(BackendKind.CPU.ordinal()));
  }

  @Test
  void reportNamesEveryBackendReasonAndDevice() {
    use("wgpu", "status");
    use("cuda", "no_driver");
    properties.set("nearfield.metal.enabled", "false");
    String report = Accelerators.report();
    for (String part :
        List.of(
            "Nearfield ",
            "platform        " + Platform.current(),
            "java            " + Runtime.version(),
            "native access   granted to module dev.nearfield",
            "acceleration    preferred",
            "cuda    not available: device_count: status 14 asked for",
            "metal   not available: switched off by -Dnearfield.metal.enabled=false",
            "wgpu    available",
            "wgpu:1  Fixture 1",
            ", software",
            "ABI 1.7, build 0.0.0 fixture",
            "-Dnearfield.native.wgpu.path=" + NativeBuild.fixture("status") + ": loaded",
            "cpu     available",
            "java    available",
            "Searches run on wgpu:0 (Fixture 0).",
            "Next step: none needed.")) { // another GPU is chosen
      assertTrue(report.contains(part), () -> "no [" + part + "] in:\n" + report);
    }
  }

  @Test
  void devicesAreFoundByName() {
    use("wgpu", "status");
    assertEquals("wgpu:0", Accelerators.device("wgpu").id());
    assertEquals("wgpu:15", Accelerators.device("WGPU:15").id());
    assertEquals("java:0", Accelerators.device("java").id());
    assertMessage(IllegalArgumentException.class, "[opencl]", () -> Accelerators.device("opencl"));
    for (String wrong : List.of("wgpu:", "wgpu:-1", "wgpu:x", "wgpu:1234567890")) {
      assertMessage(
          IllegalArgumentException.class, "[" + wrong + "]", () -> Accelerators.device(wrong));
    }
    assertMessage(
        BackendUnavailableException.class, "16 device", () -> Accelerators.device("wgpu:16"));
    use("cuda", "abi_2");
    BackendUnavailableException e =
        assertMessage(
            BackendUnavailableException.class, "ABI major", () -> Accelerators.device("cuda"));
    Unavailable why = assertInstanceOf(Unavailable.class, e.statuses().getFirst());
    assertEquals(Reason.ABI_MISMATCH, why.reason());
  }

  @Test
  void realGpusComeFirstThenCpuThenJava() {
    withoutGpus();
    assertEquals(BackendKind.CPU, DeviceChoice.of(Acceleration.PREFERRED).device().backend());
    properties.set("nearfield.wgpu.enabled", "true");
    use("wgpu", "status");
    DeviceChoice choice = DeviceChoice.of(Acceleration.PREFERRED);
    assertEquals("wgpu:0", choice.device().id());
    assertEquals(
        List.of(Reason.DISABLED_BY_CONFIG, Reason.DISABLED_BY_CONFIG),
        choice.passedOver().stream().map(Unavailable::reason).toList());
    assertEquals("wgpu:0", DeviceChoice.of(Acceleration.REQUIRED).device().id());
    properties.set("nearfield.cuda.enabled", "true");
    use("cuda", "status");
    assertEquals("cuda:0", DeviceChoice.of(Acceleration.PREFERRED).device().id());
    DeviceChoice cpu = DeviceChoice.of(Acceleration.DISABLED);
    assertEquals(BackendKind.CPU, cpu.device().backend());
    assertEquals(List.of(), cpu.passedOver());
    properties.set("nearfield.cpu.enabled", "false");
    DeviceChoice java = DeviceChoice.of(Acceleration.DISABLED);
    assertEquals(BackendKind.JAVA, java.device().backend());
    assertEquals(Reason.DISABLED_BY_CONFIG, java.passedOver().getFirst().reason());
  }

  @Test
  void cudaComesBeforeMetalBeforeWgpu() {
    List<String> order = List.of("cuda", "metal", "wgpu");
    for (String gpu : order) {
      use(gpu, "status");
    }
    for (String gpu : order) {
      assertEquals(gpu + ":0", DeviceChoice.of(Acceleration.PREFERRED).device().id());
      assertEquals(gpu + ":0", DeviceChoice.of(Acceleration.REQUIRED).device().id());
      properties.set("nearfield." + gpu + ".enabled", "false");
    }
    assertEquals(BackendKind.CPU, DeviceChoice.of(Acceleration.PREFERRED).device().backend());
  }

  /** A GPU that is listed and then refused: another backend's comes next, then the CPU. */
  @Test
  void refusedGpusGiveWayToThoseOfOtherBackends() {
    withoutGpus();
    for (String gpu : List.of("cuda", "wgpu")) {
      properties.set("nearfield." + gpu + ".enabled", "true");
      use(gpu, "status");
    }
    assertEquals(
        List.of("cuda:0", "wgpu:0", "cpu:0"), tried(Acceleration.PREFERRED, 2, this::refused));
    assertEquals(List.of("cuda:0", "wgpu:0"), tried(Acceleration.REQUIRED, 1, this::refused));
    assertThrows(
        BackendUnavailableException.class, () -> tried(Acceleration.REQUIRED, 2, this::refused));
    // What failed for want of memory would fail there as well: it is the same GPU.
    assertEquals(
        List.of("cuda:0", "cpu:0"),
        tried(Acceleration.PREFERRED, 1, () -> new DeviceOutOfMemoryException("planted", 1, 0, 0)));
    Device named = Accelerators.device("cuda");
    IndexTargets one = IndexTargets.of(Acceleration.PREFERRED, named, null);
    assertThrows(
        BackendUnavailableException.class,
        () ->
            one.first(
                (device, fallback, cause) -> {
                  throw refused();
                }));
  }

  /** The reason that is given for the next device, and what is thrown when there is none. */
  @Test
  void aDeviceThatLacksWhatIsAskedForIsPassedOver() {
    withoutGpus();
    properties.set("nearfield.cuda.enabled", "true");
    use("cuda", "status");
    BackendUnavailableException lacks = BackendUnavailableException.unsupported("planted");
    DeviceOutOfMemoryException full = new DeviceOutOfMemoryException("planted", 1, 0, 0);
    assertEquals(List.of("cuda:0", "cpu:0"), tried(Acceleration.PREFERRED, 1, () -> lacks));
    IndexTargets targets = IndexTargets.of(Acceleration.PREFERRED, null, null);
    List<Optional<FallbackReason>> reasons = new ArrayList<>();
    Map<BackendKind, VectorIndexException> failures = new EnumMap<>(BackendKind.class);
    IndexTargets.Attempt<Device> attempt =
        (device, fallback, cause) -> {
          reasons.add(fallback);
          VectorIndexException failure = failures.get(device.backend());
          if (failure != null) {
            throw failure;
          }
          return device;
        };
    failures.put(BackendKind.CUDA, lacks);
    assertEquals(BackendKind.CPU, targets.first(attempt).backend());
    assertEquals(List.of(Optional.empty(), Optional.of(FallbackReason.UNSUPPORTED)), reasons);
    failures.put(BackendKind.JAVA, BackendUnavailableException.unsupported("of plain Java"));
    failures.put(BackendKind.CPU, full);
    assertSame(full, assertThrows(DeviceOutOfMemoryException.class, () -> targets.first(attempt)));
    assertSame(failures.get(BackendKind.JAVA), full.getSuppressed()[0]);
    failures.put(BackendKind.CPU, lacks);
    assertSame(
        failures.get(BackendKind.JAVA),
        assertThrows(BackendUnavailableException.class, () -> targets.first(attempt)));
  }

  private VectorIndexException refused() {
    return new BackendUnavailableException("planted", List.of());
  }

  /** The devices that a policy tries when the first {@code failing} of them fail. */
  private static List<String> tried(
      Acceleration policy, int failing, Supplier<VectorIndexException> failure) {
    List<String> tried = new ArrayList<>();
    AtomicReference<VectorIndexException> thrown = new AtomicReference<>();
    return IndexTargets.of(policy, null, null)
        .first(
            (device, fallback, cause) -> {
              assertSame(thrown.get(), cause);
              tried.add(device.id());
              if (tried.size() <= failing) {
                thrown.set(failure.get());
                throw thrown.get();
              }
              return tried;
            });
  }

  @Test
  void whatFailedIsLookedAtAnewByThoseWhoAskForIt() {
    withoutGpus();
    properties.set("nearfield.cuda.enabled", "true");
    properties.set("nearfield.native.cuda.path", "/there/is/none");
    Backends.forget(BackendKind.CUDA); // a library that another test has loaded
    BackendStatus failed = Backends.status(BackendKind.CUDA);
    DeviceChoice choice = DeviceChoice.of(Acceleration.PREFERRED);
    assertSame(failed, choice.passedOver().getFirst());
    assertSame(failed, Backends.status(BackendKind.CUDA));
    BackendStatus probed = Accelerators.probe().getFirst();
    assertNotSame(failed, probed);
    assertSame(probed, Backends.status(BackendKind.CUDA));
    new PolicyRoutes(
            Acceleration.PREFERRED,
            new IndexConfig(
                1, Metric.DOT, IndexSpec.flat(), null, 0, 0, 0, 0, 64, 0, 64, 0, 1, null))
        .better(
            new PlacementInfo(
                choice.device(), Optional.of(FallbackReason.NO_DEVICE), choice.passedOver()));
    assertNotSame(probed, Backends.status(BackendKind.CUDA));
  }

  @Test
  void emulatorsAreUsedByNameAlone() {
    withoutGpus();
    properties.set("nearfield.cuda.enabled", "true");
    use("cuda", "emulated");
    assertEquals(BackendKind.CPU, DeviceChoice.of(Acceleration.PREFERRED).device().backend());
    assertThrows(BackendUnavailableException.class, () -> DeviceChoice.of(Acceleration.REQUIRED));
    Device named = Accelerators.device("cuda");
    assertTrue(named.software());
    assertEquals(List.of(named), IndexTargets.of(Acceleration.PREFERRED, named, null).devices());
    assertTrue(Accelerators.report().contains("cuda    available, in software only"));
  }

  @Test
  void reportSaysWhatAnAbsentGpuNeeds() {
    withoutGpus();
    properties.set("nearfield.cuda.enabled", "true");
    use("cuda", "outdated_driver");
    assertTrue(Accelerators.report().contains("Next step: cuda: Update the driver it names."));
    use("cuda", "no_driver");
    assertTrue(Accelerators.report().contains("Next step: cuda: Install the driver it names"));
    use("cuda", "absent_driver");
    assertTrue(Accelerators.report().contains("cuda    not available: no device, for reason 14"));
    use("cuda", "no_device");
    String report = Accelerators.report();
    assertTrue(report.contains("cuda    not available: the cuda library found no device"), report);
    assertTrue(report.contains("Next step: none needed; no GPU of this machine"), report);
  }

  @Test
  void softwareAdaptersAreNeverChosen() {
    withoutGpus();
    properties.set("nearfield.wgpu.enabled", "true");
    use("wgpu", "software");
    DeviceChoice choice = DeviceChoice.of(Acceleration.PREFERRED);
    assertEquals(BackendKind.CPU, choice.device().backend());
    Unavailable why = choice.passedOver().getLast();
    assertEquals(Reason.NO_DEVICE, why.reason());
    assertTrue(why.detail().contains("wgpu:0"), why.detail());
    BackendUnavailableException e =
        assertMessage(
            BackendUnavailableException.class,
            "only a software adapter",
            () -> DeviceChoice.of(Acceleration.REQUIRED));
    assertEquals(3, e.statuses().size());
    assertTrue(Accelerators.device("wgpu").software());
    assertTrue(Accelerators.report().contains("in software only"));
  }

  @Test
  void policyComesFromPropertyThenEnvironment() {
    assertEquals(Acceleration.PREFERRED, Settings.acceleration(null, null));
    assertEquals(Acceleration.PREFERRED, Settings.acceleration(null, ""));
    assertEquals(Acceleration.REQUIRED, Settings.acceleration(null, "Required"));
    assertEquals(Acceleration.DISABLED, Settings.acceleration("disabled", "required"));
    assertMessage(
        IllegalArgumentException.class,
        "NEARFIELD_ACCELERATION: [gpu]",
        () -> Settings.acceleration(null, "gpu"));
    properties.set(Settings.ACCELERATION_PROPERTY, "gpu");
    assertTrue(Accelerators.report().contains("wrong setting: -Dnearfield.acceleration: [gpu]"));
  }

  @Test
  void reportFollowsThePolicy() {
    withoutGpus();
    properties.set(Settings.ACCELERATION_PROPERTY, "required");
    assertTrue(Accelerators.report().contains("No index can be built: a GPU is required"));
    properties.set("nearfield.wgpu.enabled", "true");
    use("wgpu", "status");
    assertTrue(Accelerators.report().contains("Searches run on wgpu:0"));
    properties.set(Settings.ACCELERATION_PROPERTY, "disabled");
    assertTrue(Accelerators.report().contains("Searches run on cpu:0"));
    properties.set(Settings.ACCELERATION_PROPERTY, "gpu");
    assertTrue(Accelerators.report().contains("No index can be built."));
  }

  private static <T extends Exception> T assertMessage(
      Class<T> type, String part, Runnable action) {
    T e = assertThrows(type, action::run);
    assertTrue(e.getMessage().contains(part), e.getMessage());
    return e;
  }
}
