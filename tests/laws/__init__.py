"""What every entry of the registries satisfies, in float64 and in float32."""
