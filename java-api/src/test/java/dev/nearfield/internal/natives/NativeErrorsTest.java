// SPDX-License-Identifier: Apache-2.0
package dev.nearfield.internal.natives;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.nearfield.BackendKind;
import dev.nearfield.BackendUnavailableException;
import dev.nearfield.DeviceLostException;
import dev.nearfield.DeviceOutOfMemoryException;
import dev.nearfield.ErrorCode;
import dev.nearfield.Metric;
import dev.nearfield.NativeCallException;
import dev.nearfield.Properties;
import dev.nearfield.SearchTimeoutException;
import dev.nearfield.internal.engine.Engine;
import dev.nearfield.internal.engine.Engine.CallControl;
import dev.nearfield.internal.engine.Engine.IndexOptions;
import dev.nearfield.internal.load.LibraryLoader;
import dev.nearfield.internal.load.NativeBuild;
import dev.nearfield.internal.load.Platform;
import dev.nearfield.internal.value.DeviceInfo;
import java.nio.file.Path;
import java.util.Objects;
import java.util.concurrent.CancellationException;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Each status through a real downcall: context_create of the fixture answers the device number. */
class NativeErrorsTest {
  private static NativeCalls fixture() {
    try (Properties properties = new Properties()) {
      Path library = NativeBuild.fixture("status");
      properties.set("nearfield.native.cuda.path", library.toString());
      LibraryLoader.Outcome outcome = LibraryLoader.load(BackendKind.CUDA, Platform.current());
      return Objects.requireNonNull(outcome.calls(), () -> outcome.attempts().toString());
    }
  }

  private static NativeEngine open(int device) {
    return NativeEngine.open(
        fixture(), new DeviceInfo(BackendKind.CUDA, device, "fixture", "", 0, false));
  }

  static IntStream failures() {
    return IntStream.rangeClosed(1, 17);
  }

  @ParameterizedTest
  @MethodSource("failures")
  void statusBecomesItsExceptionWithTheLibrarysSentence(int status) {
    RuntimeException e = assertThrows(RuntimeException.class, () -> open(status));
    Class<?> expected =
        switch (status) {
          case 1 -> CancellationException.class;
          case 3 -> IllegalArgumentException.class;
          case 4 -> SearchTimeoutException.class;
          case 8 -> DeviceOutOfMemoryException.class;
          case 14 -> BackendUnavailableException.class;
          case 15 -> DeviceLostException.class;
          default -> NativeCallException.class;
        };
    assertEquals(expected, e.getClass());
    assertEquals("context_create: status " + status + " asked for, é", e.getMessage());
    if (e instanceof NativeCallException call) {
      assertEquals(status, call.status());
      assertEquals("nf_context_create", call.function());
      assertEquals(ErrorCode.NATIVE, call.code());
    }
    if (e instanceof DeviceOutOfMemoryException memory) {
      assertEquals(-1, memory.requested());
      assertEquals(512, memory.free());
      assertEquals(1024, memory.total());
    }
  }

  @Test
  void engineOverALibraryThatFailsLater() {
    try (NativeEngine engine = open(0)) {
      assertEquals(false, engine.supports(Metric.L2_SQUARED)); // index yes, knn no
      assertEquals(512, engine.freeBytes());
      IndexOptions options = new IndexOptions(3, Metric.L2_SQUARED, 100, 0, 0);
      assertEquals(new Engine.Estimate(200, 100), engine.estimate(options));
      DeviceOutOfMemoryException e =
          assertThrows(
              DeviceOutOfMemoryException.class,
              () -> engine.createIndex(options, CallControl.NONE));
      assertEquals(512, e.free());
    }
  }

  @Test
  void closedEngineRefusesAndClosesTwice() {
    NativeEngine engine = open(0);
    engine.close();
    engine.close();
    assertThrows(IllegalStateException.class, () -> engine.supports(Metric.DOT));
  }

  @Test
  void failureWithoutAMessageNamesFunctionAndStatus() {
    try (CallFrame frame = new CallFrame(CallControl.NONE)) {
      RuntimeException e =
          assertThrows(RuntimeException.class, () -> frame.check(13, "nf_index_search"));
      assertInstanceOf(NativeCallException.class, e);
      assertEquals("nf_index_search: status [13] without a message", e.getMessage());
    }
  }
}
