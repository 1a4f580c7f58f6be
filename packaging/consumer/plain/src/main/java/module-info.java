// SPDX-License-Identifier: Apache-2.0
module org.example.app {
  requires dev.nearfield;
}
