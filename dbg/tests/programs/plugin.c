int plugin_value = 5;
int plugin(int v) {
  int result = v + plugin_value;
  return result;
}
